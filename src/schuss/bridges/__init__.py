"""Ways to other packages: trained networks as PyTorch modules and ONNX models."""
