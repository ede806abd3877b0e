"""How people meet schuss."""
