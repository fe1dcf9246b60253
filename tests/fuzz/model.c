/* Fuzzes model streams over a base that is sound: what opens can be run and
 * written, and all else is refused. */
#include "tests/fuzz/tiny.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char stream[64];
	if (fd < 0) {
		harness_make_folder();
		tiny_base(TINY_BERT);
		fd = memfd_create("model", MFD_CLOEXEC);
		must(fd >= 0);
		snprintf(stream, sizeof stream, "/proc/self/fd/%d", fd);
	}
	must(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	struct ft_model *m = ft_model_open(stream, harness_folder, FT_MODEL_BARE);
	bool small = m && tiny_is_small(m);
	if (!m)
		must(ft_last_error() < 0 && *ft_message());
	ft_model_free(m);
	if (!small)
		return 0;
	m = ft_model_open(stream, harness_folder, 0);
	if (m)
		tiny_use(m);
	else
		must(ft_last_error() < 0 && *ft_message());
	ft_model_free(m);
	return 0;
}
