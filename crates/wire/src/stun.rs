//! STUN binding requests and responses.
