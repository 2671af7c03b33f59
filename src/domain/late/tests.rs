//! What late usage is held to.
