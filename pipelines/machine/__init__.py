"""The machine: devices, memory, network, precision."""
