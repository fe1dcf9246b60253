#!/bin/sh
# Two ranks on two hosts, which are two network namespaces with a cable between them: the same bytes as of one process.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ranks.sh"
cd "$T" || exit 1
a=ft-a-$$ b=ft-b-$$
if [ -z "${FT_TEST_LONG:-}" ]; then
	skip 'a long test (FT_TEST_LONG=1)'
	done_testing
fi
trap 'ip netns del $a; ip netns del $b; rm -rf "$T"' EXIT 2>/dev/null
if [ "$(id -u)" != 0 ] || ! command -v ip >/dev/null || ! ip netns add "$a" 2>err || ! ip netns add "$b" 2>err ||
	! ip link add "va$$" type veth peer name "vb$$" 2>err; then
	skip 'no network namespaces here (root and iproute2)'
	done_testing
fi
host() { # NAMESPACE DEVICE ADDRESS
	ip link set "$2" netns "$1" && ip -n "$1" addr add "$3/24" dev "$2" && ip -n "$1" link set "$2" up && ip -n "$1" link set lo up
}
host "$a" "va$$" 10.77.0.1
host "$b" "vb$$" 10.77.0.2

head -n 48 "$SRC/pipelines/sentiment/data/train.tsv" >train.tsv
ft-freeze -H classify:neg,pos "$SRC/tests/ref/tiny-bert" >plan.ft
ft-tokenize -q -m plan.ft --max-length 40 train.tsv | ft-batch -r 8 -e 20 -s 1 >train.bat

# Instead of ssh: a host of its own, with its own name and folder for temporary files.
cat >agent <<END
#!/bin/sh
shift
mkdir -p "$T/tmp-b"
exec ip netns exec $b unshare --uts sh -c 'hostname ft-host-b; TMPDIR=$T/tmp-b; export TMPDIR; eval "\$*"' sh "\$@"
END
chmod +x agent
mkdir tmp-a
cat >each <<'END'
#!/bin/sh
echo "$OMPI_COMM_WORLD_RANK $(hostname) $(ip -4 -o addr show scope global | sed 's/.*inet \([0-9.]*\).*/\1/')" >>where
echo $$ >pid.$OMPI_COMM_WORLD_RANK
exec ft-train "$@"
END
chmod +x each
on_hosts() { # COMMAND...
	ip netns exec "$a" unshare --uts sh -c 'hostname ft-host-a; exec "$@"' sh env TMPDIR="$T/tmp-a" mpirun \
		--host 10.77.0.1:1,10.77.0.2:1 -n 2 --mca plm_rsh_agent "$T/agent" --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24 \
		--mca oob_tcp_if_include 10.77.0.0/24 --wdir "$T" -x PATH -x LC_ALL "$@"
}
ft-train -q --shards 4 -m plan.ft --log one.log train.bat >one.ft
rc=0; on_hosts ./each -q --shards 4 -m plan.ft --log two.log -o two.ft train.bat >said 2>&1 || rc=$?
is 'two ranks on two hosts' "$rc $(sort where | tr '\n' ' ')" '0 0 ft-host-a 10.77.0.1 1 ft-host-b 10.77.0.2 '
is 'the same bytes' "$(cmp two.ft one.ft 2>&1; cmp two.log one.log 2>&1; cat said)" ''

rm -f pid.* two.*
on_hosts ./each -q --shards 4 -m plan.ft --log two.log --checkpoint ck --every 1 -o two.ft train.bat >said 2>&1 &
while [ ! -e ck ] || [ ! -s pid.1 ]; do
	kill -0 $! 2>/dev/null || break
	sleep 0.02
done
kill -9 "$(cat pid.1)"
rc=0; wait $! || rc=$?
is 'the rank of one host dies, and the other ends' "$rc $(ls two.ft 2>/dev/null)" '137 '
ft-train -q --shards 4 -m plan.ft --log two.log --checkpoint ck -o two.ft train.bat
is 'the run goes on in one process, with the same bytes' "$(cmp two.ft one.ft 2>&1; cmp two.log one.log 2>&1)" ''
done_testing
