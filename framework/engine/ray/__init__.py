"""The Ray engine: nodes are Ray actors, time is real, messages travel over a TCP mesh between the actors.

A *worker* is one process of a run: it hosts one node, several nodes, or many clients.

    runtime                 starts a local Ray runtime, or joins a cluster
    driver/                 in the process that runs the experiment
        engine              RayEngine: the course of a run, from the first actor to the last file
        launch              reserves machines, creates actors where their storage is
        supervisor          the workers: started, watched, killed, stopped, replaced, asked, ended
        remote_worker       one of them, with its state; the machines of a run
        fault_ports         what faults can do to a run
        faults_in_force     faults in force on links and nodes, for processes that start meanwhile
        machine_agent       what must be done on a machine itself: signals, clocks, files
    worker/                 in each worker
        actor               the Ray actor: a thread with an event loop, and calls that reach into it
        setup               the settings of a worker, sent at its start
        worker              the loop's owner: batches, commits, steps, timers, the lives of its nodes
        worker_node         a node of it
        local_faults        what faults do to its links, clocks and disks
        outgoing            messages that leave, through the links of the network model
        trace_rows          rows of the trace
        alarm               alarms finer than a millisecond
    disk/                   durable state
        commits             makes commits in a thread
        database            SQLite: one row a commit
        write_ahead_log     damage that SQLite overlooks
        commit_in_flight    which commit is in flight, for a crash to lose
        crash_damage        what a crash or a failing disk leaves of a database
    transport/              between workers
        frames              the bytes of a message
        mesh                connections that are opened
        inbound             connections that are accepted
        handshake           what both ends prove first
        actor_calls         the same frames as Ray actor calls

What both engines share (the life of a node, clients, faults) is in `framework.engine.shared`. Ray and uvloop are
imported here alone, and only when a run starts.
"""
