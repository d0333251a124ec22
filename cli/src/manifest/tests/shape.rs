//! Syntax, keys, types and units.

use super::{in_function, mistakes};

#[test]
fn an_empty_manifest() {
    insta::assert_snapshot!(mistakes(""), @r#"
    error: the manifest doesn't name its app
     --> vdeploy.toml:1:1
      |
    1 |
      | ^
      |
      = hint: begin it with `[app]` and `name = "my-app"`
    "#);
}

#[test]
fn an_app_without_a_name() {
    insta::assert_snapshot!(mistakes("# reel\n[app]\n"), @r#"
    error: `[app]` has no `name`
     --> vdeploy.toml:2:1
      |
    2 | [app]
      | ^^^^^
      |
      = hint: add `name = "my-app"`
    "#);
}

#[test]
fn syntax() {
    insta::assert_snapshot!(mistakes("[app]\nname = \"reel\n[function.f\ncommand = [1,\n"), @r#"
    error: not TOML: invalid basic string, expected `"`
     --> vdeploy.toml:2:13
      |
    2 | name = "reel
      |             ^

    error: not TOML: unclosed table, expected `]`
     --> vdeploy.toml:3:12
      |
    3 | [function.f
      |            ^

    error: not TOML: unclosed array, expected `]`
     --> vdeploy.toml:4:14
      |
    4 | command = [1,
      |              ^
    "#);
}

#[test]
fn a_key_twice() {
    insta::assert_snapshot!(mistakes("[app]\nname = \"a\"\nname = \"b\"\n"), @r#"
    error: not TOML: duplicate key
     --> vdeploy.toml:3:1
      |
    3 | name = "b"
      | ^^^^
    "#);
}

#[test]
fn unknown_keys() {
    insta::assert_snapshot!(in_function("handler = \"echo\"\ntimeuot = \"1m\"\ncolour = 1\n"), @r#"
    error: unknown key `timeuot`
     --> vdeploy.toml:6:1
      |
    6 | timeuot = "1m"
      | ^^^^^^^ a function has no such key
      |
      = hint: did you mean `timeout`?

    error: unknown key `colour`
     --> vdeploy.toml:7:1
      |
    7 | colour = 1
      | ^^^^^^ a function has no such key
      |
      = hint: a function may have `description`, `handler`, `binary`, `command`, `source`, `args`, `with`, `image`, `isolation`, `network`, `cpu`, `memory`, `ephemeral_disk`, `gpu`, `hardware`, `timeout`, `retries`, `env`, `volumes`, `secrets`, `downloads`, `min_containers`, `max_containers`, `scaledown_window`, `cache`, `spot`, `schedule`, `engine` or `codecs`
    "#);
    insta::assert_snapshot!(mistakes("[app]\nname = \"reel\"\n[functions.f]\nhandler = \"echo\"\n"), @r#"
    error: unknown key `functions`
     --> vdeploy.toml:3:2
      |
    3 | [functions.f]
      |  ^^^^^^^^^ a manifest has no such key
      |
      = hint: did you mean `function`?
    "#);
}

#[test]
fn wrong_types() {
    insta::assert_snapshot!(in_function("handler = 7\ncpu = \"4\"\nspot = \"yes\"\nsource = \"handlers/\"\n"), @r#"
    error: `handler` must be a string
     --> vdeploy.toml:5:11
      |
    5 | handler = 7
      |           ^ this is a number

    error: `cpu` must be a number
     --> vdeploy.toml:6:7
      |
    6 | cpu = "4"
      |       ^^^ this is a string
      |
      = hint: write it without quotes: `cpu = 4`

    error: `spot` must be `true` or `false`
     --> vdeploy.toml:7:8
      |
    7 | spot = "yes"
      |        ^^^^^ this is a string

    error: `source` must be a list
     --> vdeploy.toml:8:10
      |
    8 | source = "handlers/"
      |          ^^^^^^^^^^^ this is a string
      |
      = hint: write it as a list: `source = ["handlers/"]`
    "#);
    insta::assert_snapshot!(in_function("handler = \"echo\"\nenv = [1]\nmax_containers = -1\ncpu = inf\n"), @r#"
    error: `env` must be a table
     --> vdeploy.toml:6:7
      |
    6 | env = [1]
      |       ^^^ this is a list

    error: `max_containers` must be a whole number, 0 or more
     --> vdeploy.toml:7:18
      |
    7 | max_containers = -1
      |                  ^^ this is a negative number

    error: `cpu` must be a number
     --> vdeploy.toml:8:7
      |
    8 | cpu = inf
      |       ^^^ this is not a finite number
    "#);
}

#[test]
fn a_value_where_a_table_belongs() {
    insta::assert_snapshot!(mistakes("app = \"reel\"\n[function]\nf = \"echo\"\n"), @r#"
    error: `app` must be a table
     --> vdeploy.toml:1:7
      |
    1 | app = "reel"
      |       ^^^^^^ this is a string

    error: `f` must be a table
     --> vdeploy.toml:3:5
      |
    3 | f = "echo"
      |     ^^^^^^ this is a string
    "#);
}

#[test]
fn wrong_units() {
    insta::assert_snapshot!(in_function("handler = \"echo\"\ntimeout = 600\nmemory = 8\n"), @r#"
    error: `timeout` needs a unit
     --> vdeploy.toml:6:11
      |
    6 | timeout = 600
      |           ^^^ a number without a unit
      |
      = hint: write `timeout = "600s"`; units are `ms`, `s`, `m`, `h` or `d`

    error: `memory` needs a unit
     --> vdeploy.toml:7:10
      |
    7 | memory = 8
      |          ^ a number without a unit
      |
      = hint: write `memory = "8GiB"`; units are `B`, `KiB`, `MiB`, `GiB`, `TiB`, `KB`, `kB`, `MB`, `GB` or `TB`
    "#);
    insta::assert_snapshot!(in_function("handler = \"echo\"\ntimeout = \"10 minutes\"\nmemory = \"8G\"\nephemeral_disk = \"big\"\n"), @r#"
    error: `timeout` must be a duration such as `"10m"`
     --> vdeploy.toml:6:11
      |
    6 | timeout = "10 minutes"
      |           ^^^^^^^^^^^^
      |
      = hint: write `timeout = "10m"`; units are `ms`, `s`, `m`, `h` or `d`

    error: `memory` must be a size such as `"8GiB"`
     --> vdeploy.toml:7:10
      |
    7 | memory = "8G"
      |          ^^^^
      |
      = hint: write `memory = "8GiB"`; units are `B`, `KiB`, `MiB`, `GiB`, `TiB`, `KB`, `kB`, `MB`, `GB` or `TB`

    error: `ephemeral_disk` must be a size such as `"8GiB"`
     --> vdeploy.toml:8:18
      |
    8 | ephemeral_disk = "big"
      |                  ^^^^^
      |
      = hint: units are `B`, `KiB`, `MiB`, `GiB`, `TiB`, `KB`, `kB`, `MB`, `GB` or `TB`
    "#);
}

#[test]
fn nothing_where_something_must_be() {
    insta::assert_snapshot!(in_function("handler = \"echo\"\ncpu = 0\ntimeout = \"0s\"\nmemory = \"0B\"\nmax_containers = 0\n"), @r#"
    error: `cpu` must be more than 0
     --> vdeploy.toml:6:7
      |
    6 | cpu = 0
      |       ^
      |
      = hint: leave `cpu` out to get the default

    error: `timeout` must be more than 0
     --> vdeploy.toml:7:11
      |
    7 | timeout = "0s"
      |           ^^^^
      |
      = hint: leave `timeout` out to get the default

    error: `memory` must be more than 0
     --> vdeploy.toml:8:10
      |
    8 | memory = "0B"
      |          ^^^^
      |
      = hint: leave `memory` out to get the default

    error: `max_containers` must be more than 0
     --> vdeploy.toml:9:18
      |
    9 | max_containers = 0
      |                  ^
      |
      = hint: leave `max_containers` out to get the default
    "#);
}

#[test]
fn places_after_wide_letters() {
    insta::assert_snapshot!(in_function("description = \"größer 大きい\" \nenv = { A = 'ä', B = 1 }\nhandler = \"echo\"\n"), @r#"
    error: `B` must be a string
     --> vdeploy.toml:6:22
      |
    6 | env = { A = 'ä', B = 1 }
      |                      ^ this is a number
    "#);
}
