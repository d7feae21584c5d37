"""The torch-export and torchscript runtimes: exported models with tensors in and out."""
