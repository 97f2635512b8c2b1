//! The control transport: Noise IK frames and the HTTP upgrade that starts them.
