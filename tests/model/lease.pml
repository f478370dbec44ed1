/* The lease of a worker whose job must not run twice, over a change of leader, with clocks.
 *
 * One tick is 1.2 s: the lease of 6 s is 5 ticks, a new leader grants 6 (a full lease + 20 %), the
 * agent counts 0.8 of what it is told. The agent's clock may miss one tick in five. Messages take
 * any time; a leader may be frozen or deposed without knowing it.
 *
 * Assertion: when a leader replaces the job elsewhere, the job has stopped here.
 */
#define LEADERS 2
#define HORIZON 9 /* a takeover, its grant and some more */
#define LEASE 5
#define GRANT 6
#define NEVER 255

byte now;
byte epoch = 1;
#define IDLE 0
#define TAKING 1 /* its takeover was sent */
#define LEADS 2
byte stage[LEADERS + 1];
byte base[LEADERS + 1];  /* when the newest epoch check that has committed was sent; of TAKING: the takeover */
byte check[LEADERS + 1] = NEVER; /* when the one under way was sent */
byte book[LEADERS + 1];  /* end of the worker's lease as this leader has to believe; 0 once it is deposed */

byte leaseLeft = 4; /* ticks of the agent's own clock */
bool job = true;
byte steady = 4; /* ticks since the agent's clock missed one */
byte asked;      /* the leader a heartbeat is under way to, 0: none */
byte age;        /* of that heartbeat, by the agent's clock */
bool answered;
byte left;       /* what the answer says */
bool replaced;

/* Once the job has stopped, nothing can go wrong any more: the search ends there. */
#define goesOn (job && !replaced)
#define max(a, b) ((a) > (b) -> (a) : (b))
#define proven(k) (base[k] + LEASE)
#define leftOf(k) (proven(k) > now -> proven(k) - now : 0)
#ifdef LEASE_WITHOUT_CHECK
#define tells(k) LEASE
#else
#define tells(k) leftOf(k)
#endif
#ifdef WHOLE_LEASE_COUNTED
#define counted left
#else
#define counted (left * 4 / 5)
#endif
#ifdef COUNTED_FROM_ANSWER
#define counts counted
#else
#define counts (counted > age -> counted - age : 0)
#endif

inline endHeartbeat() { asked = 0; age = 0; answered = false; left = 0 }

active proctype Clock() {
  do
  :: d_step { now < HORIZON && goesOn ->
       now = now + 1; steady = (steady < 4 -> steady + 1 : 4);
       age = (asked != 0 && age < LEASE + 1 -> age + 1 : age);
       leaseLeft = (leaseLeft > 0 -> leaseLeft - 1 : 0);
       job = job && leaseLeft > 0 } /* stopped by the rank's own parent process */
  :: d_step { now < HORIZON && goesOn && steady == 4 -> now = now + 1; steady = 0 }
  od
}

active proctype Worker() {
  do
  :: d_step { asked == 0 && goesOn && now < HORIZON && stage[1] == LEADS -> asked = 1 }
  :: d_step { asked == 0 && goesOn && now < HORIZON && stage[2] == LEADS -> asked = 2 }
  :: d_step { answered && goesOn -> leaseLeft = max(leaseLeft, counts); endHeartbeat() }
  :: d_step { asked != 0 && goesOn -> endHeartbeat() } /* lost */
  od
}

active [LEADERS] proctype Leader() {
  byte k = _pid - 1;
  d_step {
    if
    :: k == 1 -> stage[1] = LEADS; book[1] = LEASE
    :: else
    fi
  };
  do
  :: d_step { k > 1 && stage[k] == IDLE && goesOn -> stage[k] = TAKING; base[k] = now }
  /* The takeover is carried out: from here on no check of an older epoch commits. */
  :: d_step { stage[k] == TAKING && epoch == k - 1 && goesOn -> epoch = k; check[k - 1] = NEVER; book[k - 1] = 0 }
  :: d_step { stage[k] == TAKING && epoch >= k && goesOn -> /* and its answer arrives, some time later */
       stage[k] = LEADS;
#if defined(NO_GRANT)
       book[k] = proven(k)
#elif defined(GRANT_FROM_SENDING)
       book[k] = base[k] + GRANT
#else
       book[k] = now + GRANT
#endif
     }
  :: d_step { stage[k] == LEADS && check[k] == NEVER && epoch == k && goesOn -> check[k] = now }
  :: d_step { check[k] != NEVER && epoch == k && goesOn -> base[k] = check[k]; check[k] = NEVER }
  /* A heartbeat's answer extends the lease only to (sending time of the last committed check + lease). */
  :: d_step { stage[k] == LEADS && asked == k && !answered && goesOn ->
       answered = true; left = tells(k); book[k] = (epoch == k -> max(book[k], proven(k)) : 0) }
  /* The node is lost: a command, so it commits only in this leader's epoch. */
  :: d_step { stage[k] == LEADS && epoch == k && now >= book[k] && goesOn -> replaced = true; assert(!job) }
  od
}
