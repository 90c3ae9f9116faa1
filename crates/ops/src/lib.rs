//! Operators of the LFM2 forward pass over slices.
