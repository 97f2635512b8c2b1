//! Disco: path discovery messages between nodes.
