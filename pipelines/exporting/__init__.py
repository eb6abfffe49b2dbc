"""Models as files for production: ONNX, or a folder for the hub, checked against the model they are made from."""
