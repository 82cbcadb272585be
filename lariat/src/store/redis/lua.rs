//! Every Lua file, embedded. A new file is a line here; `script.rs` composes them.

macro_rules! scripts {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("lua/", $name, ".lua")))),*] };
}

macro_rules! steps {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("lua/lib/", $name, ".lua")))),*] };
}

/// Scripts that are called: name and `lua/<name>.lua`.
pub(super) const SCRIPTS: &[(&str, &str)] = scripts!["add" "change" "exchange" "extend" "job" "overview" "recover"];

/// Steps that scripts include: name and `lua/lib/<name>.lua`.
pub(super) const STEPS: &[(&str, &str)] = steps![
    "activate" "allowance" "ask_again" "base" "child_ended" "children" "delay" "delayed" "enqueue" "events" "finals"
    "find_state" "finish" "held" "lane" "leave_active" "marker" "metrics" "next_ids" "others" "parent" "priority"
    "problems" "promote" "put_back" "put_back_stalled" "queue" "release_id" "remove" "retention" "retry" "settings"
    "store_job" "take" "taken" "wait_for_children" "wishes"
];
