/* Which orders a worker obeys: leaders of three epochs, older ones deposed without knowing it,
 * orders that come late or again, and an agent that is started again at any moment.
 *
 * An order is stamped (epoch, index). Assertions: the orders obeyed never go back; after the agent
 * has answered a leader, none of an older epoch is obeyed.
 */
#define EPOCHS 3
#define INDEXES 3 /* of one leader's orders: 0 to 2 */
#define stamp(e, x) ((e) * INDEXES + (x))
#define epochOf(s) ((s) / INDEXES)

byte epoch = 1;
byte newest[EPOCHS + 1]; /* index of the newest order of this epoch */

byte disk;      /* the newest order stored durably */
byte diskToken; /* the highest epoch stored durably */
byte memory;
byte token;
byte accepted;  /* taken, on its way to the disk; 0: none */

byte obeyed;    /* only for assertions: the highest ever */
byte answered;  /* the highest epoch whose leader has heard from the agent */

#if defined(NO_TOKEN_CHECK)
#define mayTake(s) true
#elif defined(EPOCH_ONLY)
#define mayTake(s) (epochOf(s) >= token)
#else
#define mayTake(s) ((s) > memory && epochOf(s) >= token)
#endif

inline obey(s) {
  assert((s) >= obeyed);
  assert(epochOf(s) >= answered);
  obeyed = s
}

inline arrive(s) {
  accepted = s; memory = s; token = epochOf(s);
#ifdef OBEY_BEFORE_STORE
  obey(s)
#endif
}

active proctype Leaders() {
  do
  :: d_step { epoch < EPOCHS -> epoch = epoch + 1 }
  /* Orders follow from committed commands, so only the leader of the newest epoch makes new ones. */
  :: d_step { newest[epoch] < INDEXES - 1 -> newest[epoch] = newest[epoch] + 1 }
  od
}

active proctype Agent() {
  byte e, x;
  do
  /* Any order that was ever sent arrives, again or for the first time. */
  :: atomic { accepted == 0 -> select(e : 1 .. EPOCHS); select(x : 0 .. INDEXES - 1);
       if
       :: d_step { e <= epoch && x <= newest[e] && mayTake(stamp(e, x)) -> arrive(stamp(e, x)) }
       :: else
       fi;
       d_step { e = 0; x = 0 } }
  :: d_step { accepted != 0 ->
       disk = accepted;
       diskToken = epochOf(accepted);
#ifndef OBEY_BEFORE_STORE
       obey(accepted);
#endif
       accepted = 0 }
  /* A leader's hello: what is known of its epoch is stored before it is answered. */
  :: atomic { accepted == 0 -> select(e : 1 .. EPOCHS);
       if
       :: d_step { e <= epoch && e >= token ->
            token = e;
#ifndef TOKEN_NOT_STORED
            diskToken = e;
#endif
            answered = e }
       :: else
       fi;
       e = 0 }
  /* The agent dies and is started again. */
  :: d_step { accepted = 0; memory = disk; token = diskToken }
  od
}
