//! Fetching models from a stand-in for the Hub that this process starts on 127.0.0.1, with
//! everything going wrong that can.

#[path = "hub/bed.rs"]
mod bed;
#[path = "hub/cache.rs"]
mod cache;
#[path = "cli/bed.rs"]
#[allow(dead_code)] // each test file uses its own part
mod cli_bed;
#[path = "hub/fetching.rs"]
mod fetching;
#[path = "hub/kill.rs"]
mod kill;
#[path = "hub/outline.rs"]
mod outline;
#[path = "hub/program.rs"]
mod program;
#[path = "hub/program_cache.rs"]
mod program_cache;
#[path = "hub/program_completion.rs"]
mod program_completion;
#[path = "hub/program_forecast.rs"]
mod program_forecast;
#[path = "hub/program_trouble.rs"]
mod program_trouble;
#[path = "hub/python.rs"]
mod python;
#[path = "hub/refusals.rs"]
mod refusals;
#[path = "hub/stand_in.rs"]
mod stand_in;
#[path = "hub/trouble.rs"]
mod trouble;
