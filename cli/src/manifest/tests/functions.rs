//! What functions get wrong.

use super::in_function;

#[test]
fn neither_handler_nor_command_or_both() {
    insta::assert_snapshot!(in_function("cpu = 1\n"), @r#"
    error: function `f` runs nothing
     --> vdeploy.toml:4:11
      |
    4 | [function.f]
      |           ^ neither `handler` nor `command`
      |
      = hint: add `handler = "transcode"`, or `command = ["python3", "main.py"]`
    "#);
    insta::assert_snapshot!(in_function("handler = \"echo\"\ncommand = [\"cat\"]\n"), @r#"
    error: a function has a `handler` or a `command`, not both
     --> vdeploy.toml:6:11
      |
    5 | handler = "echo"
      |           ------ the other one
    6 | command = ["cat"]
      |           ^^^^^^^
      |
      = hint: remove one of them
    "#);
    insta::assert_snapshot!(in_function("command = []\n"), @r#"
    error: `command` is empty
     --> vdeploy.toml:5:11
      |
    5 | command = []
      |           ^^
      |
      = hint: name a program: `command = ["python3", "main.py"]`
    "#);
    insta::assert_snapshot!(in_function("command = [\"cat\"]\nbinary = \"bin/mine\"\n"), @r#"
    error: `binary` needs a `handler`
     --> vdeploy.toml:6:10
      |
    6 | binary = "bin/mine"
      |          ^^^^^^^^^^ which of its handlers?
      |
      = hint: add `handler = "NAME"`, the name of a handler in that binary
    "#);
}

#[test]
fn handlers_that_are_not_there() {
    insta::assert_snapshot!(in_function("handler = \"trancode\"\n"), @r#"
    error: no handler is named `trancode`
     --> vdeploy.toml:5:11
      |
    5 | handler = "trancode"
      |           ^^^^^^^^^^
      |
      = hint: did you mean `transcode`?
    "#);
    insta::assert_snapshot!(in_function("handler = \"superscale\"\n"), @r#"
    error: no handler is named `superscale`
     --> vdeploy.toml:5:11
      |
    5 | handler = "superscale"
      |           ^^^^^^^^^^^^
      |
      = hint: it may be `audio`, `check`, `chunked`, `clips`, `concat`, `detect`, `echo`, `effects`, `frames`, `framing`, `hls`, `ladder`, `notify`, `overlay`, `pipeline`, `probe`, `sequence`, `stream` or `transcode`; a handler of your own needs `binary`
    "#);
    insta::assert_snapshot!(in_function("handler = \"echo\"\nargs = \"echo.json\"\n"), @r#"
    error: `args` belongs to a `command`
     --> vdeploy.toml:6:8
      |
    5 | handler = "echo"
      |           ------ a handler brings the schema of its arguments
    6 | args = "echo.json"
      |        ^^^^^^^^^^^
      |
      = hint: remove `args`
    "#);
}

#[test]
fn mounts() {
    insta::assert_snapshot!(in_function(
        "handler = \"echo\"\n[function.f.volumes]\n\"/v\" = \"footage\"\n\"/v/\" = \"footage\"\n\
         \"videos\" = \"footage\"\n\"/\" = \"footage\"\n\"/a/../b\" = \"footage\"\n"
    ), @r#"
    error: two volumes are mounted at `/v`
     --> vdeploy.toml:8:1
      |
    7 | "/v" = "footage"
      | ---- the first one
    8 | "/v/" = "footage"
      | ^^^^^
      |
      = hint: mount each volume at a path of its own

    error: volume `footage` is mounted twice
     --> vdeploy.toml:8:9
      |
    7 | "/v" = "footage"
      | ---- here already
    8 | "/v/" = "footage"
      |         ^^^^^^^^^
      |
      = hint: mount it once

    error: no volume can be mounted at `videos`
     --> vdeploy.toml:9:1
      |
    9 | "videos" = "footage"
      | ^^^^^^^^
      |
      = hint: use an absolute path below `/`, without `..`, such as `/videos`

    error: no volume can be mounted at `/`
      --> vdeploy.toml:10:1
       |
    10 | "/" = "footage"
       | ^^^
       |
       = hint: use an absolute path below `/`, without `..`, such as `/videos`

    error: no volume can be mounted at `/a/../b`
      --> vdeploy.toml:11:1
       |
    11 | "/a/../b" = "footage"
       | ^^^^^^^^^
       |
       = hint: use an absolute path below `/`, without `..`, such as `/videos`
    "#);
}

#[test]
fn paths_that_leave_the_folder() {
    insta::assert_snapshot!(in_function(
        "command = [\"./run\"]\nsource = [\"../other\", \"/etc\", \"\"]\nargs = \"a/../../b.json\"\n"
    ), @r#"
    error: `source` must stay in the manifest's folder
     --> vdeploy.toml:6:11
      |
    6 | source = ["../other", "/etc", ""]
      |           ^^^^^^^^^^ leads out of it
      |
      = hint: give a path relative to the manifest, without `..`

    error: `source` must stay in the manifest's folder
     --> vdeploy.toml:6:23
      |
    6 | source = ["../other", "/etc", ""]
      |                       ^^^^^^ leads out of it
      |
      = hint: give a path relative to the manifest, without `..`

    error: `source` is empty
     --> vdeploy.toml:6:31
      |
    6 | source = ["../other", "/etc", ""]
      |                               ^^

    error: `args` must stay in the manifest's folder
     --> vdeploy.toml:7:8
      |
    7 | args = "a/../../b.json"
      |        ^^^^^^^^^^^^^^^^ leads out of it
      |
      = hint: give a path relative to the manifest, without `..`
    "#);
}

#[test]
fn hardware_that_can_not_do_it() {
    insta::assert_snapshot!(in_function(
        "handler = \"transcode\"\nhardware = \"required\"\ngpu = [\"L4\", \"a100\", \"H100\"]\n"
    ), @r#"
    error: `A100` has no video encoder
     --> vdeploy.toml:7:14
      |
    6 | hardware = "required"
      |            ---------- but one is required
    7 | gpu = ["L4", "a100", "H100"]
      |              ^^^^^^ no NVENC on this model
      |
      = hint: use a model that encodes, such as `L4` or `T4`, or `hardware = "auto"`

    error: `H100` has no video encoder
     --> vdeploy.toml:7:22
      |
    6 | hardware = "required"
      |            ---------- but one is required
    7 | gpu = ["L4", "a100", "H100"]
      |                      ^^^^^^ no NVENC on this model
      |
      = hint: use a model that encodes, such as `L4` or `T4`, or `hardware = "auto"`
    "#);
    insta::assert_snapshot!(in_function("handler = \"echo\"\ngpu = [\"L40\", \"T4:2\", \"T4\", \"t4\"]\n"), @r#"
    error: no GPU model is named `T4:2`
     --> vdeploy.toml:6:15
      |
    6 | gpu = ["L40", "T4:2", "T4", "t4"]
      |               ^^^^^^ a call claims one GPU
      |
      = hint: write `T4`, and `vdeploy map` to use several at once

    error: `t4` is named twice
     --> vdeploy.toml:6:29
      |
    6 | gpu = ["L40", "T4:2", "T4", "t4"]
      |                             ^^^^
      |
      = hint: name each model once, the one you prefer first
    "#);
    insta::assert_snapshot!(in_function("handler = \"echo\"\ngpu = \"Voodoo2\"\nhardware = \"on\"\n"), @r#"
    error: no GPU model is named `Voodoo2`
     --> vdeploy.toml:6:7
      |
    6 | gpu = "Voodoo2"
      |       ^^^^^^^^^
      |
      = hint: it may be `T4`, `L4`, `A10G`, `L40`, `L40S`, `RTX-6000-Ada`, `RTX-PRO-6000`, `RTX-4090`, `V100`, `A100`, `A100-80GB`, `H100`, `H200`, `B200` or `B300`

    error: `hardware` can't be `on`
     --> vdeploy.toml:7:12
      |
    7 | hardware = "on"
      |            ^^^^
      |
      = hint: it may be `auto`, `required` or `off`
    "#);
}

#[test]
fn retries_and_scaling() {
    insta::assert_snapshot!(in_function(
        "handler = \"echo\"\nretries = { max = 1000, backoff = 0.5, initial_delay = \"2m\", max_delay = \"1m\" }\n\
         min_containers = 4\nmax_containers = 2\n"
    ), @r#"
    error: `max` can't be 1000
     --> vdeploy.toml:6:19
      |
    6 | retries = { max = 1000, backoff = 0.5, initial_delay = "2m", max_delay = "1m" }
      |                   ^^^^
      |
      = hint: it may be 0 to 100

    error: `backoff` can't be 0.5
     --> vdeploy.toml:6:35
      |
    6 | retries = { max = 1000, backoff = 0.5, initial_delay = "2m", max_delay = "1m" }
      |                                   ^^^
      |
      = hint: it may be 1 to 10

    error: `max_delay` is shorter than `initial_delay`
     --> vdeploy.toml:6:74
      |
    6 | retries = { max = 1000, backoff = 0.5, initial_delay = "2m", max_delay = "1m" }
      |                                                        ----              ^^^^
      |                                                        |
      |                                                        the first wait
      |
      = hint: swap them, or leave `max_delay` out

    error: `min_containers` is more than `max_containers`
     --> vdeploy.toml:7:18
      |
    7 | min_containers = 4
      |                  ^
    8 | max_containers = 2
      |                  - the most there may be
      |
      = hint: swap them, or leave one out
    "#);
    insta::assert_snapshot!(in_function("handler = \"echo\"\nretries = \"3\"\n"), @r#"
    error: `retries` must be a number of attempts or a table
     --> vdeploy.toml:6:11
      |
    6 | retries = "3"
      |           ^^^ this is a string
      |
      = hint: write it without quotes: `retries = 3`
    "#);
}

#[test]
fn schedules() {
    insta::assert_snapshot!(in_function("handler = \"echo\"\nschedule = \"every day\"\n"), @r#"
    error: `schedule` has 2 fields
     --> vdeploy.toml:6:12
      |
    6 | schedule = "every day"
      |            ^^^^^^^^^^^
      |
      = hint: write five: minute, hour, day of the month, month, day of the week; `"0 6 * * *"` is every day at 6:00 UTC
    "#);
    insta::assert_snapshot!(in_function("handler = \"echo\"\nschedule = \"60 */0 1-40 jan 0\"\n"), @r#"
    error: `60` isn't a minute
     --> vdeploy.toml:6:12
      |
    6 | schedule = "60 */0 1-40 jan 0"
      |            ^^^^^^^^^^^^^^^^^^^
      |
      = hint: use `*`, numbers from 0 to 59, `a-b`, `a,b` or `*/n`

    error: `*/0` isn't an hour
     --> vdeploy.toml:6:12
      |
    6 | schedule = "60 */0 1-40 jan 0"
      |            ^^^^^^^^^^^^^^^^^^^
      |
      = hint: use `*`, numbers from 0 to 23, `a-b`, `a,b` or `*/n`

    error: `1-40` isn't a day of the month
     --> vdeploy.toml:6:12
      |
    6 | schedule = "60 */0 1-40 jan 0"
      |            ^^^^^^^^^^^^^^^^^^^
      |
      = hint: use `*`, numbers from 1 to 31, `a-b`, `a,b` or `*/n`

    error: `jan` isn't a month
     --> vdeploy.toml:6:12
      |
    6 | schedule = "60 */0 1-40 jan 0"
      |            ^^^^^^^^^^^^^^^^^^^
      |
      = hint: use `*`, numbers from 1 to 12, `a-b`, `a,b` or `*/n`
    "#);
}
