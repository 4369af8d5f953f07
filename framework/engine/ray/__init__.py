"""The Ray engine: nodes are Ray actors, time is real, messages travel over a TCP mesh between the actors.

A *worker* is one process of a run: it hosted_nodes one node, several nodes, or many clients. In the driver:

    driver      RayEngine: the course of a run, from the first actor to the last file
    runtime     starts a local Ray runtime, or joins a cluster
    launch      reserves machines, creates actors where their storage is
    supervisor       the workers as the driver sees them: started, waited for, ended
    lives       ... each through all its incarnations: watched, killed, stopped, replaced
    worker      one of them; the machines of a run
    injection   carries out the faults of an experiment
    conditions  what faults have laid upon links and nodes and is still in force
    machines    what must be done on a machine itself: signals, clocks, files; `damage`: damage to a database

In each worker:

    actor       the Ray actor: a thread with an event loop, and calls that reach into it
    setup       what a worker is told at its start
    worker     the loop's owner: batches, commits, steps, timers
    residents   its endpoints: boot, crash and restart, and what they see of the time
    faults    what faults do to them: link_faults, clocks, disks
    hosted        one host's place in it
    clients        the clients of a worker and their load
    outgoing    what leaves, through the links of the network model
    commits     makes commits in a thread, over `storage`: SQLite, and `wal`: damage that SQLite overlooks
    flight      which commit is in flight, for a crash to lose
    recording   rows of the trace and of the history
    timing      alarms finer than a millisecond

Between workers:

    frames      how a message stands on the wire
    mesh        connections that are opened; `inbound`: accepted ones; `handshake`: what both prove first
    calls       the same frames as Ray actor calls

Ray and uvloop are imported here alone, and only when a run starts.
"""
