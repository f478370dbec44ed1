@0xd3a5b7c9e1f20431;
# What the tests of RPC call.

interface Echo {
  say @0 (text :Text) -> (text :Text, caller :Text);
  # Answers the text and who the server takes the caller for.

  never @1 () -> ();
  # Never answers.

  child @2 () -> (echo :Echo);
}
