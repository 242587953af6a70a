//! The program as a user runs it.

mod common;

#[path = "cli/batch.rs"]
mod batch;
#[path = "cli/bed.rs"]
mod bed;
#[path = "cli/chat.rs"]
mod chat;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/cot.rs"]
mod cot;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/encrypted.rs"]
mod encrypted;
#[path = "cli/flags.rs"]
mod flags;
#[path = "cli/golden.rs"]
mod golden;
#[path = "cli/hostile.rs"]
mod hostile;
#[path = "cli/infill.rs"]
mod infill;
#[path = "cli/perplexity.rs"]
mod perplexity;
#[path = "cli/references.rs"]
mod references;
#[path = "cli/run.rs"]
mod run;
#[path = "cli/task.rs"]
mod task;
#[path = "cli/tensors.rs"]
mod tensors;
