//! The page in real browsers: each file is named by the claim that it proves.

mod three_engines_can_be_driven;
