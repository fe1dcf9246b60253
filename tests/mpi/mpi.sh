# mpi.sh - for tests that call mpirun, after lib.sh; sourced, not run.
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive
# What Open MPI keeps at its end is not ours; without the whole way to it, it has no name.
if ft-train --version | grep -q sanitizer; then
	export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}fast_unwind_on_malloc=0"
	export LSAN_OPTIONS="suppressions=$SRC/tests/mpi/leaks.supp:print_suppressions=0"
fi
