/* preference.c - losses of texts that are preferred to others, or good or bad: of the log-probabilities of rows.
 *
 * saved: the derivative of an example's loss by the score of each of its rows. */
#include "priv.h"

#include <math.h>

static double logistic(double x) { return 1 / (1 + exp(-x)); }
static double log_logistic(double x) { return x < 0 ? x - log1p(exp(x)) : -log1p(exp(-x)); }

/* A loss for each `texts` rows, and room for derivatives. */
static struct ft_tensor *make_loss(struct ft_graph *g, struct ft_tensor *x, int64_t texts, float **slope)
{
	if (!graph_ready(g, &x, 1))
		return NULL;
	struct ft_tensor *loss = ft_graph_tensor(g, x->rows / texts, 1);
	*slope = ft_graph_alloc(g, (size_t)x->rows * sizeof **slope);
	return *slope ? loss : NULL;
}

static struct ft_tensor *record(struct ft_graph *g, enum op op, struct ft_tensor *loss, struct ft_tensor *x,
                                float *slope)
{
	struct node *n = graph_record(g, op, loss, &x, 1);
	if (n)
		n->saved = slope;
	return loss;
}

static int scores_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *x = n->in[0];
	int64_t texts = x->rows / n->out->rows;
	bool fresh;
	float *dx = ft_grad(g, x, &fresh);
	for (int64_t r = 0; dx && r < graph_todo(g, x->rows); r++)
		dx[r] = n->out->grad[r / texts] * n->saved[r] + (fresh ? 0 : dx[r]);
	return dx ? FT_OK : FT_EFAIL;
}

struct ft_tensor *ft_dpo(struct ft_graph *g, struct ft_tensor *x, const float *reference, float beta, float smoothing)
{
	float *slope;
	struct ft_tensor *loss = make_loss(g, x, 2, &slope);
	for (int64_t e = 0; loss && e < graph_todo(g, loss->rows); e++) {
		const float *s = x->data + 2 * e, *r = reference + 2 * e;
		double h = beta * (((double)s[0] - r[0]) - ((double)s[1] - r[1]));
		double dh = -(1.0 - smoothing) * logistic(-h) + smoothing * logistic(h);
		loss->data[e] = (float)(-(1.0 - smoothing) * log_logistic(h) - smoothing * log_logistic(-h));
		slope[2 * e] = (float)(beta * dh);
		slope[2 * e + 1] = -slope[2 * e];
	}
	return loss ? record(g, OP_dpo, loss, x, slope) : NULL;
}

int op_dpo_back(struct ft_graph *g, struct node *n) { return scores_back(g, n); }

/* Odds are p / (1 - p); a mean log-probability of 0 would make them infinite. */
#define CERTAIN (-1e-6)

struct ft_tensor *ft_orpo(struct ft_graph *g, struct ft_tensor *x, float lambda)
{
	float *slope;
	struct ft_tensor *loss = make_loss(g, x, 2, &slope);
	for (int64_t e = 0; loss && e < graph_todo(g, loss->rows); e++) {
		double a = fmin(x->data[2 * e], CERTAIN), b = fmin(x->data[2 * e + 1], CERTAIN);
		double ratio = (a - log(-expm1(a))) - (b - log(-expm1(b))), d = -lambda * logistic(-ratio);
		loss->data[e] = (float)(-a - lambda * log_logistic(ratio));
		slope[2 * e] = (float)(-1 - d / expm1(a));
		slope[2 * e + 1] = (float)(d / expm1(b));
	}
	return loss ? record(g, OP_orpo, loss, x, slope) : NULL;
}

int op_orpo_back(struct ft_graph *g, struct node *n) { return scores_back(g, n); }

struct ft_tensor *ft_kto(struct ft_graph *g, struct ft_tensor *x, const struct ft_kto_options *o)
{
	float *slope;
	struct ft_tensor *loss = make_loss(g, x, 1, &slope);
	for (int64_t e = 0; loss && e < graph_todo(g, loss->rows); e++) {
		bool good = o->good[e] > 0;
		double sign = good ? 1 : -1, weight = good ? o->desirable : o->undesirable;
		double s = logistic(sign * o->beta * ((double)x->data[e] - o->reference[e] - o->divergence));
		loss->data[e] = (float)(weight * (1 - s));
		slope[e] = (float)(-weight * sign * o->beta * s * (1 - s));
	}
	return loss ? record(g, OP_kto, loss, x, slope) : NULL;
}

int op_kto_back(struct ft_graph *g, struct node *n) { return scores_back(g, n); }
