//! Nephila.
