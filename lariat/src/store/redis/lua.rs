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
    "allowance" "ask_again" "base" "child_ended" "children" "children_left" "delay" "delayed" "drop" "enqueue" "events" "failure" "finals" "find_state"
    "finish" "guarded" "held" "lane" "marker" "metrics" "next_ids" "outcome" "parent" "priority" "promote" "put_back"
    "put_back_stalled" "queue" "release_id" "remove" "retention" "retry" "seldom" "settings" "store_job" "take"
    "take_back" "tell_others" "wait_for_children"
];
