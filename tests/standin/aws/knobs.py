"""What tests have set of the stand-in."""
import threading

KNOBS = {"spot_kill": 0.0, "ce_invalid": None, "faults": 0.0, "deny": None, "deny_code": None, "deny_message": None,
         "address": None, "puts": -1}
PUTS = threading.Condition()
