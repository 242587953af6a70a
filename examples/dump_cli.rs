//! Prints the command tree as JSON: what the demo model's generator knows of it.
//!
//! `cargo run --example dump_cli > src/demo/cli.json`

use clap::{Arg, Command};
use serde_json::{Map, Value, json};

fn main() {
    let mut tree = wick::cli::command();
    tree.build();
    let commands: Vec<Value> = tree.get_subcommands().filter_map(subcommand).collect();
    let tree = json!({ "name": tree.get_name(), "commands": commands });
    println!("{tree:#}");
}

fn subcommand(command: &Command) -> Option<Value> {
    if command.is_hide_set() || command.get_name() == "help" {
        return None;
    }
    let flags = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter_map(flag);
    Some(json!({
        "name": command.get_name(),
        "about": command.get_about().map(ToString::to_string),
        "args": flags.collect::<Vec<_>>(),
    }))
}

/// A flag with a long form; the help flag says nothing new.
fn flag(arg: &Arg) -> Option<Value> {
    let long = arg.get_long().filter(|&long| long != "help")?;
    let mut flag = Map::new();
    flag.insert("long".to_string(), json!(long));
    if let Some(short) = arg.get_short() {
        flag.insert("short".to_string(), json!(short.to_string()));
    }
    if let Some(env) = arg.get_env().and_then(|env| env.to_str()) {
        flag.insert("env".to_string(), json!(env));
    }
    let default = arg.get_default_values().first().and_then(|d| d.to_str());
    if let Some(default) = default.filter(|_| arg.get_action().takes_values()) {
        flag.insert("default".to_string(), json!(default));
    }
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    flag.insert("help".to_string(), json!(help));
    Some(Value::Object(flag))
}
