//! Every Lua file, embedded. A new file is a line here; `script.rs` composes them.

macro_rules! scripts {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("lua/", $name, ".lua")))),*] };
}

macro_rules! steps {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("lua/lib/", $name, ".lua")))),*] };
}

/// Scripts that are called: name and `lua/<name>.lua`.
pub(super) const SCRIPTS: &[(&str, &str)] = scripts![
    "add" "change" "configure" "exchange" "extend" "forget" "holders" "job" "logs" "minutes" "move" "overview" "page" "priorities"
    "recover"
];

/// Steps that scripts include: name and `lua/lib/<name>.lua`.
pub(super) const STEPS: &[(&str, &str)] = steps![
    "addressed" "allowance" "ask_again" "base" "change_delay" "change_priority" "child_ended" "children"
    "children_left" "delay" "delayed" "drop" "emit_in" "enqueue" "events" "failure" "finals" "find_state" "finish"
    "guarded" "held" "held_below" "lane" "lengths" "marker" "metrics" "next_ids" "outcome" "parent" "priority"
    "promote" "promote_one" "put_back" "put_back_stalled" "queue" "release_id" "remove" "remove_job" "reprocess"
    "resume" "retention" "retry" "seldom" "settings" "slice" "store_job" "take" "take_back" "take_out" "tell_others"
    "wait_for_children"
];
