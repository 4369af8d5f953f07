"""The Ray engine: nodes are Ray actors, time is real, messages travel over a TCP mesh between the actors.

A *worker* is one process of a run: it hosts one node, several nodes, or many clients.

    runtime                 starts a local Ray runtime, or joins a cluster
    driver/                 in the process that runs the experiment
        engine              RayEngine: a run from the first actor to the last file
        launch              reserves machines, creates actors where their storage is
        supervisor          starts, watches, kills, stops, replaces, queries and ends the workers
        remote_worker       one worker, with its state; the machines of a run
        ray_faults          carries out the schedule of faults, and their actions on a run
        faults_in_force     faults in force on links and nodes, for processes that start later
        machine_agent       local actions on a machine: signals, clocks, files
    worker/                 in each worker
        actor               the Ray actor: a thread with an event loop, and calls into it
        setup               the settings of a worker, sent at its start
        worker              the owner of the loop: batches, commits, steps, timers, starts and crashes of nodes
        worker_node         a node of it
        local_faults        the effects of faults on its links, clocks and disks
        outgoing            outgoing messages, through the links of the network model
        trace_rows          rows of the trace
        alarm               alarms finer than a millisecond
    disk/                   durable state
        commits             makes commits in a thread
        database            SQLite: one row per commit
        write_ahead_log     damage that SQLite overlooks
        commit_in_flight    the number of the commit in flight, which a crash may lose
        crash_damage        the effects of a crash or a failing disk on a database
    transport/              between workers
        frames              the bytes of a message
        mesh                opened connections
        inbound             accepted connections
        handshake           mutual authentication of both ends
        actor_calls         the same frames as Ray actor calls

The parts that both engines share (the life cycle of a node, clients, faults) are in `framework.engine.shared`. Ray and
uvloop are imported only in this package, and only when a run starts.
"""
