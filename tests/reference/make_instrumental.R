# Two-stage least squares with one endogenous regressor, Newey-West errors, first-stage F and Anderson-Rubin statistics,
# from R's lm and sandwich.
#
#   Rscript make_instrumental.R      in this folder; writes instrumental_data.csv, instrumental.csv
suppressPackageStartupMessages(library(sandwich))
set.seed(19490301)

n <- 150
persistent <- function(root) as.numeric(stats::filter(rnorm(n), root, method = "recursive"))
demand <- persistent(0.5)
data <- data.frame(z1 = round(persistent(0.2), 4), z2 = round(rnorm(n), 4), deposits = round(persistent(0.8), 4),
                   quarter_end = (seq_len(n) %% 13 == 0) + 0)
data$reserves <- round(0.5 * data$z1 - 0.3 * data$z2 + 0.4 * data$deposits + 0.8 * demand + rnorm(n), 4)
data$spread <- round(1 - 2 * data$reserves + 1.5 * data$deposits + 3 * data$quarter_end + 2 * demand + rnorm(n), 4)

found <- data.frame()
note <- function(lags, what, names, value)
  found <<- rbind(found, data.frame(lags = lags, what = what, name = names, value = sprintf("%.17g", value)))

first <- lm(reserves ~ z1 + z2 + deposits + quarter_end, data)
second <- lm(spread ~ fitted(first) + deposits + quarter_end, data)
coefficients <- setNames(coef(second), c("constant", "reserves", "deposits", "quarter_end"))
true <- second
true$residuals <- with(data, spread - cbind(1, reserves, deposits, quarter_end) %*% coefficients)[, 1]
wald <- function(fit, lags) {
  h <- coef(fit)[2:3]
  sum(h * solve(NeweyWest(fit, lag = lags, prewhite = FALSE, adjust = TRUE)[2:3, 2:3], h))
}
for (lags in c(0, 4, 13)) {
  V <- NeweyWest(true, lag = lags, prewhite = FALSE, adjust = TRUE)
  note(lags, "coefficient", names(coefficients), coefficients)
  note(lags, "standard_error", names(coefficients), sqrt(diag(V)))
  note(lags, "first_stage_F", "reserves", wald(first, lags) / 2)
  for (b0 in c(-5, -2.5, -2, -1.5, 0, 4)) {
    data$gap <- data$spread - b0 * data$reserves
    note(lags, "anderson_rubin", b0, wald(lm(gap ~ z1 + z2 + deposits + quarter_end, data), lags))
  }
}
data$gap <- NULL
write.csv(data, "instrumental_data.csv", row.names = FALSE, quote = FALSE)
write.csv(found, "instrumental.csv", row.names = FALSE, quote = FALSE)
