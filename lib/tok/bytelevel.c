/* bytelevel.c - bytes as letters, and back. */
#include "bytelevel.h"
#include "ft/err.h"

static bool stands_for_itself(int c) /* below 0x100 */
{
	return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || c >= 0xAE;
}

/* Of the bytes that do not stand for themselves: 0..0x20, 0x7F..0xA0, 0xAD. */
int32_t tok_byte_letter(unsigned char b)
{
	if (stands_for_itself(b))
		return b;
	return 0x100 + (b <= 0x20 ? b : b <= 0xA0 ? b - 0x7F + 0x21 : 0x43);
}

int tok_letter_byte(int32_t c)
{
	if (c < 0x100)
		return stands_for_itself(c) ? c : -1;
	if (c > 0x143)
		return -1;
	c -= 0x100;
	return c <= 0x20 ? c : c <= 0x42 ? c - 0x21 + 0x7F : 0xAD;
}

int tok_bytes_spell(const struct tok_run *in, struct tok_form *out)
{
	int rc = FT_OK;
	for (size_t i = 0; i < in->n && rc == FT_OK; i++)
		rc = tok_form_put(out, tok_byte_letter((unsigned char)in->s[i]), tok_run_span(in, i, i + 1));
	return rc;
}

bool tok_bytes_read(const char *s, size_t n, char *out, size_t *len)
{
	*len = 0;
	for (size_t i = 0, k; i < n; i += k) {
		int32_t c;
		k = ft_utf8_get(s + i, n - i, &c, NULL);
		int byte = tok_letter_byte(c);
		if (byte < 0)
			return false;
		out[(*len)++] = (char)byte;
	}
	return true;
}
