//! Holds nothing: its manifest gives every crate of the workspace the same features of each dependency.
