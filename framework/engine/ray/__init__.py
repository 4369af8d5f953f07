"""The Ray engine: nodes are Ray actors, time is real, messages travel over a TCP mesh between the actors.

    driver      RayEngine: the course of a run, from the first actor to the last file
    fleet       the driver's view of the stations: started, watched, killed, replaced, ended
    injection   carries out the faults of an experiment
    runtime     starts a local Ray runtime, or joins a cluster
    machines    one agent a machine: signals processes, reads clocks, sends files home
    actor       the Ray actor around a station: a thread with an event loop
    station     the loop's owner: batches, commits, effects, timers
    crew        the clients of a station and their load
    recording   rows of the trace and of the history
    frames      how a message stands on the wire
    mesh        connections between stations, authenticated, bounded
    calls       the same frames as Ray actor calls
    storage     durable state in SQLite
    timing      timers finer than a millisecond

A *station* is one process of a run: it seats one node, several nodes, or many clients. Ray and uvloop are imported
here alone.
"""
