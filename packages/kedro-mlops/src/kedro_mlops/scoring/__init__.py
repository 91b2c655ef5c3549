"""Champion and model input in; predictions out."""
