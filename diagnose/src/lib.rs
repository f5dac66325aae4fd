//! Why a workflow failed: causes with their evidence, and what to do next.
//!
//! In: what runs with repeats came to. Out: for flakiness the checklist of its sources, each ticked or not with the evidence
//! for it, failures clustered by what they share, and one class for each exchange over all runs. Pure: no files, clock or
//! threads. How it looks is left to `report`.

pub mod flakiness;
