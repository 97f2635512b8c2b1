//! Curve25519 keys and their text forms.
