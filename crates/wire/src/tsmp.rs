//! TSMP: messages between tunnel ends inside WireGuard.
