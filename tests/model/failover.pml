/* Epoch, takeover, hand-over, append and linearizable reads of three coordinators over ZooKeeper.
 *
 * What is kept of ZooKeeper: one total order of multis, each whole or not at all; a session that
 * can end at any time while its process does not know; answers that get lost; requests that are
 * carried out long after they were sent. A frozen leader is one that takes no step for a while, a
 * guess of death is a takeover at any moment: nothing here rests on time. Crashes and ends of
 * sessions are not counted: each coordinator may meet one in every state.
 *
 * Every `#ifdef` takes one rule away; tools/model_check expects a violation from each of them.
 *
 * What was left out because it changes no outcome:
 * - The order of the line (it only says who acts first).
 * - A process that is down: it is one that takes no step until `renew`, its restart. Requests it left
 *   under way: the same run with a later crash.
 * - A session that ended without its leader's knowledge: its requests fail like lost ones.
 * - A takeover whose answer arrived: it is one whose answer was lost and who read `epoch` at once.
 * - A leader that hears that it is deposed: it resigns, which is `renew`.
 * - A check that no read waits for: it changes nothing here.
 */
#define COORDINATORS 3
#ifndef EPOCHS
#define EPOCHS 3
#endif
#ifndef COMMANDS
#define COMMANDS 2 /* requests, each sent to any leader, any number of times, under one id */
#endif
#define LOG_MAX 6
#define NOBODY 3

/* ---- ZooKeeper. The version of `epoch` grows with the epoch, so one number stands for both. */
byte epoch;
byte leader = NOBODY;     /* whom `epoch` names */
bool leaderSessionOver;   /* the session it names is not the named one's session of today */
bool candidate[COORDINATORS] = true;
byte log[LOG_MAX + 1];    /* from 1; epoch * 4 + command, 0: no such node */

/* ---- a coordinator. */
#define STANDBY 0
#define ELECTED 1   /* knows that `epoch` names its session */
#define CAUGHT_UP 2 /* has read the log to its end; LeaderStarted is under way */
#define SERVING 3
byte stage[COORDINATORS];
byte own[COORDINATORS];   /* its epoch */
byte known[COORDINATORS]; /* of the log: committed, applied */

/* Batches under way, at the numbers known + 1 and known + 2. */
#define NONE 0
#define SENT 1
#define UNKNOWN 2 /* answered with nothing, or not at all */
#define COMMITTED 3
#define LEADER_STARTED 0
byte flight[COORDINATORS * 2];
byte command[COORDINATORS * 2];

/* ---- clients. */
byte acknowledged; /* the highest index of which a client was told */
byte reader = NOBODY; /* who was asked to read; one read at a time */
byte readIndex;       /* what its answer rests on */
bool readWhole;       /* whether that holds all that was acknowledged when it was asked */
#define UNCOVERED 0
#define BY_CHECK 100 /* the check was committed, its answer is under way */
#define COVERED 101
byte cover; /* what proves that the leader still led: the number of an append, BY_CHECK, COVERED */
#ifdef EARLIER_BARRIER
bool checked[COORDINATORS]; /* a check was committed that nobody waited for, its answer is under way */
#endif

/* ---- only for assertions. */
byte ledEpochs; /* bit e: somebody led epoch e */
bool secondNamed;
#ifdef REREAD_VERSION
bool reread[COORDINATORS];
#endif

#define holds(n, c) (log[n] != 0 && log[n] % 4 == (c))
#define logHolds(c) (holds(1, c) || holds(2, c) || holds(3, c) || holds(4, c) || holds(5, c) || holds(6, c))
#define knows(i, c)                                                                       \
  ((known[i] >= 1 && holds(1, c)) || (known[i] >= 2 && holds(2, c)) ||                    \
   (known[i] >= 3 && holds(3, c)) || (known[i] >= 4 && holds(4, c)) ||                    \
   (known[i] >= 5 && holds(5, c)) || (known[i] >= 6 && holds(6, c)))
#define inFlight(i, c) \
  ((flight[2 * i] != NONE && command[2 * i] == (c)) || (flight[2 * i + 1] != NONE && command[2 * i + 1] == (c)))
#define flights(i) ((flight[2 * i] != NONE) + (flight[2 * i + 1] != NONE))
#define batch(i, s) (own[i] * 4 + command[2 * i + (s)])
#define number(i, s) (known[i] + 1 + (s))

/* Append = multi{check(epoch, v), check(log/N-1), create(log/N)}. `v` is the version that came with
 * our own takeover, afterwards never read again. */
#if defined(NO_EPOCH_CHECK)
#define epochHolds(i) true
#elif defined(REREAD_VERSION)
#define epochHolds(i) (epoch == own[i] || reread[i])
#else
#define epochHolds(i) (epoch == own[i])
#endif
#ifdef NO_PREDECESSOR_CHECK
#define predecessorHolds(n) true
#else
#define predecessorHolds(n) ((n) == 1 || log[(n) - 1] != 0)
#endif
#define mayCreate(i, n) \
  (epochHolds(i) && (n) <= LOG_MAX && predecessorHolds(n) && log[n] == 0)

/* Takeover = multi{set(epoch, v -> e+1), delete(old leader's candidate, if there), check(own)}. */
#ifdef NO_CANDIDATE_CHECK
#define mayTakeOver(i) true
#else
#define mayTakeOver(i) candidate[i]
#endif
#ifdef NO_SUCCESSOR_CHECK
#define maySucceed(j) true
#else
#define maySucceed(j) candidate[j]
#endif
/* Who leads is what `epoch` names: guid and session must be ours. */
#ifdef NAMED_BY_ID
#define namesMe(i) (leader == i)
#else
#define namesMe(i) (leader == i && !leaderSessionOver)
#endif

/* Coordinators are alike: 0 leads first, and 1 is named before 2. */
#define breaksTie(i) (epoch > 0 || i == 0) && (i != 2 || secondNamed)

inline acknowledge(index) {
  if
  :: index > acknowledged -> acknowledged = index
  :: else
  fi
}

/* Invariants 1 and 2: no hole, nothing of an older epoch after a newer one, a request at most once. */
inline create(i, n, c) {
  assert(n == 1 || log[n - 1] != 0);
  assert(n == 1 || log[n - 1] / 4 <= own[i]);
  assert(n == LOG_MAX || log[n + 1] == 0);
  assert(c == LEADER_STARTED || !logHolds(c));
  log[n] = own[i] * 4 + c
}

/* The oldest batch is known to be committed: apply, answer; then those after it. */
inline commitFront(i) {
  flight[2 * i] = COMMITTED;
  do
  :: flight[2 * i] == COMMITTED ->
     known[i] = known[i] + 1;
     if
     :: command[2 * i] == LEADER_STARTED -> stage[i] = SERVING
     :: else -> acknowledge(known[i])
     fi;
     if
     :: reader == i && cover == known[i] -> cover = COVERED
     :: else
     fi;
     flight[2 * i] = flight[2 * i + 1];
     command[2 * i] = command[2 * i + 1];
     flight[2 * i + 1] = NONE;
     command[2 * i + 1] = 0
  :: else -> break
  od;
  skip
}

inline send(i, c) {
  if
  :: flight[2 * i] == NONE -> flight[2 * i] = SENT; command[2 * i] = c
  :: else -> flight[2 * i + 1] = SENT; command[2 * i + 1] = c
  fi;
  if
  :: reader == i && cover == UNCOVERED -> cover = known[i] + flights(i)
  :: else
  fi;
#ifdef ACKNOWLEDGE_BEFORE_COMMIT
  acknowledge(known[i] + flights(i))
#endif
}

inline forgetRead() {
  reader = NOBODY; readIndex = 0; readWhole = false; cover = UNCOVERED
}

/* The session ends, by a crash, by expiry or because a deposed leader closes it; the process, or the
 * next one, stands on a new session, at the end of the line. */
inline renew(i) {
  if
  :: leader == i -> leaderSessionOver = true
  :: else
  fi;
  stage[i] = STANDBY; candidate[i] = true; own[i] = 0; known[i] = 0;
  flight[2 * i] = NONE; flight[2 * i + 1] = NONE; command[2 * i] = 0; command[2 * i + 1] = 0;
#ifdef REREAD_VERSION
  reread[i] = false;
#endif
#ifdef EARLIER_BARRIER
  checked[i] = false;
#endif
  if
  :: reader == i -> forgetRead()
  :: else
  fi
}

/* A new epoch names `i`. One leadership = one session = one epoch: who led on this session would
 * not stand for election again, and nobody would replace it. Whom nobody sees stand, nobody watches. */
inline name(i) {
  assert(stage[i] == STANDBY);
  assert(candidate[i]);
  leader = i;
  leaderSessionOver = false;
  if
  :: i == 1 -> secondNamed = true
  :: else
  fi
}

inline handOver(i, j) {
  epoch = epoch + 1;
  candidate[i] = false;
  name(j)
}

#define idle(i) (flights(i) == 0 && !(reader == i && cover == BY_CHECK))
#define mayHandOver(i, j) \
  (stage[i] == SERVING && idle(i) && epoch == own[i] && epoch < EPOCHS && maySucceed(j) && breaksTie(j))
#define mayCut(i, c)                                                              \
  (stage[i] == SERVING && flights(i) < 2 && flight[2 * i] != UNKNOWN && (c) <= COMMANDS && !inFlight(i, c))

active[COORDINATORS] proctype Coordinator() {
  do
  :: d_step { (stage[_pid] != STANDBY || !candidate[_pid] || namesMe(_pid)) -> renew(_pid) }

  /* ---- takeover, on a guess or not. */
  :: d_step { stage[_pid] == STANDBY && epoch < EPOCHS && mayTakeOver(_pid) && !namesMe(_pid) && breaksTie(_pid) ->
#ifndef KEEP_OLD_CANDIDATE
       if
       :: leader != NOBODY && !leaderSessionOver -> candidate[leader] = false
       :: else
       fi;
#endif
       epoch = epoch + 1; name(_pid) }
#ifdef TAKEOVER_WITHOUT_VERSION /* judged by what was read of `epoch` before another's takeover */
  :: d_step { stage[_pid] == STANDBY && epoch > 0 && leader != _pid && candidate[_pid] ->
       candidate[leader] = false; name(_pid) }
#endif
  :: d_step { stage[_pid] == STANDBY && namesMe(_pid) ->
       assert((ledEpochs & (1 << epoch)) == 0); /* invariant 1 */
       ledEpochs = ledEpochs | (1 << epoch);
       stage[_pid] = ELECTED; own[_pid] = epoch }
  /* Then, on the same session, the log to its end; then LeaderStarted. */
#ifdef END_JUDGED_BEFORE_TAKEOVER
  :: d_step { stage[_pid] == STANDBY && log[known[_pid] + 1] != 0 -> known[_pid] = known[_pid] + 1 }
  :: d_step { stage[_pid] == ELECTED -> stage[_pid] = CAUGHT_UP; send(_pid, LEADER_STARTED) }
#else
  :: d_step { stage[_pid] == ELECTED ->
       do
       :: known[_pid] < LOG_MAX && log[known[_pid] + 1] != 0 -> known[_pid] = known[_pid] + 1
       :: else -> break
       od;
       assert(known[_pid] >= acknowledged); /* invariant 2 */
       stage[_pid] = CAUGHT_UP; send(_pid, LEADER_STARTED) }
#endif

  /* ---- requests. A retry of one that is in the log gets the first answer. Nothing new is sent
   * after an unknown outcome. */
#ifdef RETRY_APPENDS_AGAIN
#define isNew(i, c) true
#else
#define isNew(i, c) (!knows(i, c))
#endif
  :: d_step { mayCut(_pid, 1) && isNew(_pid, 1) -> send(_pid, 1) }
  :: d_step { mayCut(_pid, 2) && isNew(_pid, 2) -> send(_pid, 2) }
  :: d_step { mayCut(_pid, 3) && isNew(_pid, 3) -> send(_pid, 3) }
  :: d_step { stage[_pid] == SERVING && acknowledged < known[_pid] && log[known[_pid]] % 4 != LEADER_STARTED ->
       acknowledge(known[_pid]) }

  /* ---- the batches under way: carried out and answered, carried out only, or neither. ZooKeeper
   * keeps the order of a session's requests, but one may be lost and the next one not. */
  :: d_step { flight[2 * _pid] == SENT && mayCreate(_pid, number(_pid, 0)) ->
       create(_pid, number(_pid, 0), command[2 * _pid]); commitFront(_pid) }
  :: d_step { flight[2 * _pid] == SENT && mayCreate(_pid, number(_pid, 0)) ->
       create(_pid, number(_pid, 0), command[2 * _pid]); flight[2 * _pid] = UNKNOWN }
  :: d_step { flight[2 * _pid] == SENT -> flight[2 * _pid] = UNKNOWN }
  :: d_step { flight[2 * _pid] == UNKNOWN && flight[2 * _pid + 1] == SENT && mayCreate(_pid, number(_pid, 1)) ->
       create(_pid, number(_pid, 1), command[2 * _pid + 1]); flight[2 * _pid + 1] = COMMITTED }
  :: d_step { flight[2 * _pid] == UNKNOWN && flight[2 * _pid + 1] == SENT && mayCreate(_pid, number(_pid, 1)) ->
       create(_pid, number(_pid, 1), command[2 * _pid + 1]); flight[2 * _pid + 1] = UNKNOWN }
  :: d_step { flight[2 * _pid] == UNKNOWN && flight[2 * _pid + 1] == SENT -> flight[2 * _pid + 1] = UNKNOWN }

  /* ---- unknown outcomes: once all are answered, the oldest is sent again: same bytes, same name. */
#define resolving(i) (flight[2 * i] == UNKNOWN && flight[2 * i + 1] != SENT)
  :: d_step { resolving(_pid) && mayCreate(_pid, number(_pid, 0)) ->
       create(_pid, number(_pid, 0), command[2 * _pid]); commitFront(_pid) }
  :: d_step { resolving(_pid) && mayCreate(_pid, number(_pid, 0)) ->
       create(_pid, number(_pid, 0), command[2 * _pid]) }
  /* NODEEXISTS: the same batch was committed before; another's would be a fault of the store. */
  :: d_step { resolving(_pid) && epochHolds(_pid) && number(_pid, 0) <= LOG_MAX &&
              predecessorHolds(number(_pid, 0)) && log[number(_pid, 0)] != 0 ->
       assert(log[number(_pid, 0)] == batch(_pid, 0)); commitFront(_pid) }
  /* A missing predecessor would be one, too. */
  :: d_step { resolving(_pid) && epochHolds(_pid) && !predecessorHolds(number(_pid, 0)) ->
       assert(false) }
  /* BADVERSION: the outcome stays unknown; the leader resigns, the client asks the next one. */
#ifdef FENCED_MEANS_REFUSED /* the client is told that nothing was done */
  :: d_step { resolving(_pid) && epoch != own[_pid] -> assert(!logHolds(command[2 * _pid])); renew(_pid) }
#endif
#ifdef ABSENCE_BY_READ /* from a server that may be behind: the batch is given up, its number used again */
  :: d_step { resolving(_pid) && flight[2 * _pid + 1] == NONE && command[2 * _pid] != LEADER_STARTED ->
       flight[2 * _pid] = NONE; command[2 * _pid] = 0 }
#endif
#ifdef REREAD_VERSION
  :: d_step { stage[_pid] >= CAUGHT_UP && epoch != own[_pid] && !reread[_pid] -> reread[_pid] = true }
#endif

  /* ---- reads. Answered when the index they rest on is committed and a multi that checks the epoch,
   * sent after the request came, has committed. */
  :: d_step { reader == NOBODY && stage[_pid] == SERVING ->
       reader = _pid; readIndex = known[_pid] + flights(_pid); readWhole = (readIndex >= acknowledged);
#ifdef NO_BARRIER
       cover = COVERED
#else
       cover = UNCOVERED
#endif
     }
  :: d_step { reader == _pid && cover == UNCOVERED && epoch == own[_pid] -> cover = BY_CHECK }
  :: d_step { reader == _pid && cover == BY_CHECK -> cover = COVERED }
  :: d_step { reader == _pid && cover == BY_CHECK -> cover = UNCOVERED } /* lost: it waits for another */
#ifdef EARLIER_BARRIER /* one that was sent before the request came counts, too */
  :: d_step { stage[_pid] == SERVING && epoch == own[_pid] -> checked[_pid] = true }
  :: d_step { checked[_pid] ->
       checked[_pid] = false;
       if
       :: reader == _pid && cover == UNCOVERED -> cover = COVERED
       :: else
       fi }
#endif
#ifdef DIRTY_READ
#define isCommitted(i) true
#else
#define isCommitted(i) (known[i] >= readIndex)
#endif
  :: d_step { reader == _pid && cover == COVERED && isCommitted(_pid) ->
       assert(readWhole); /* invariant 8 */
       acknowledge(readIndex);
       forgetRead() }

  /* ---- hand-over, after all that was sent is answered. The leader may not learn of it. */
  :: d_step { _pid != 0 && mayHandOver(_pid, 0) -> handOver(_pid, 0) }
  :: d_step { _pid != 1 && mayHandOver(_pid, 1) -> handOver(_pid, 1) }
  :: d_step { _pid != 2 && mayHandOver(_pid, 2) -> handOver(_pid, 2) }

#ifdef REACHES_THE_END /* no rule is missing: shows that the search gets to the last epoch and command */
  :: d_step { stage[_pid] == SERVING && own[_pid] == EPOCHS && known[_pid] == EPOCHS + COMMANDS &&
              acknowledged == known[_pid] && reader == _pid && cover == COVERED -> assert(false) }
#endif
  od
}
