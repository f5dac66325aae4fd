//! Plan, start, drive, answer: makes a recorded service do it again.
