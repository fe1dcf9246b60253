# ranks.sh - for tests of several ranks, after lib.sh; sourced, not run. They need tools that were built with MPI.
if ! ft-train --version | grep -q MPI || ! command -v mpirun >/dev/null; then
	skip 'built without MPI, or no mpirun (make check-mpi)'
	done_testing
fi
. "$SRC/tests/mpi/mpi.sh"

mpi() { # RANKS COMMAND...
	n=$1; shift
	mpirun --oversubscribe --mca orte_base_help_aggregate 0 -n "$n" "$@"
}
ranks() { # RANKS ARGUMENT OF ft-train...
	n=$1; shift
	mpi "$n" ft-train "$@"
}
