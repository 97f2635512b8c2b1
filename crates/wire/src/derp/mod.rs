//! DERP: relayed packet frames.
