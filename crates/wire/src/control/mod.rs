//! Control messages: keys, registration, network map.
