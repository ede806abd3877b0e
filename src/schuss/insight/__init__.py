"""Why a network learns or not."""
