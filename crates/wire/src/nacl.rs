//! NaCl box.
