//! Which recorded answer belongs to a call, and the nearest miss.
