"""One measurement of CPython: the case, the variant, and what the work is divided by. Prints {"value": ...}.

Workers that are spawned import this file again, so it imports no more than it must before it knows what to do.
"""

if __name__ == "__main__":
    import importlib
    import json
    import sys

    MODULES = {
        "roundtrip": "calls",
        "map_u64_1m": "maps",
        "map_u64_chunk1": "maps",
        "cpu_speedup_2": "speedup",
        "echo_64m": "payload",
        "in_place_64m": "payload",
        "start_1": "starts",
        "start_16": "starts",
        "idle_worker_private_kib": "starts",
        "queue_1p1c": "sharing",
        "lock_uncontended": "sharing",
        "value_inc_2p": "sharing",
        "pipe_roundtrip": "connections",
        "manager_dict_get": "connections",
        "manager_dict_set": "connections",
    }
    case, variant, part = sys.argv[1:]
    measure = getattr(importlib.import_module(MODULES[case]), f"{case}_{variant}")
    print(json.dumps({"value": measure(int(part))}))
