//! Mixtures through every format: what each refuses before it has read a weight, and that the experts which a reader
//! finds in a file are those that were written.

mod refusals;
mod round_trip;
mod ways;
