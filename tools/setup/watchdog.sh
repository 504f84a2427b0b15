#!/bin/sh
# Ends what a process started once that process is gone, however it went: kill -9 included.
# Standard input: lines "watch PID" and "forget PID" (a negative PID is a process group). End of input means that the writer is gone.
trap '' INT TERM HUP
watched=
while read -r verb pid; do
  case $verb in
    watch) watched="$watched $pid" ;;
    forget)
      kept=
      for one in $watched; do [ "$one" = "$pid" ] || kept="$kept $one"; done
      watched=$kept
      ;;
  esac
done

alive() {
  for one in $watched; do kill -s 0 -- "$one" 2>/dev/null && return 0; done
  return 1
}

# CONT as well: a stopped process keeps its TERM pending.
for one in $watched; do
  kill -s TERM -- "$one" 2>/dev/null
  kill -s CONT -- "$one" 2>/dev/null
done
tenths=50
while [ "$tenths" -gt 0 ] && alive; do
  sleep 0.1
  tenths=$((tenths - 1))
done
for one in $watched; do kill -s KILL -- "$one" 2>/dev/null; done
exit 0
