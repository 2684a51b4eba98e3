# Diebold-Mariano tests of R's forecast::dm.test, two-sided.
#
#   Rscript make_dm.R      in this folder; writes dm_errors.csv, dm_test.csv, dm_versions.csv
#
# The loss of a forecast is |error|^power. Where the flat window ("acf") has no positive variance, dm.test says so and
# returns its own answer for h = 1 instead: column 'fell_back'.
suppressPackageStartupMessages(library(forecast))
set.seed(20240307)

moving_average <- function(n, order) as.numeric(stats::filter(rnorm(n + order), rep(1, order + 1), sides = 1))[-seq_len(order)]
week <- function(n) seq_len(n)

errors <- list(
  independent    = cbind(rnorm(60), 1.3 * rnorm(60)),
  overlapping_4  = cbind(moving_average(160, 3), 1.2 * moving_average(160, 3)),
  overlapping_13 = cbind(moving_average(200, 12), 1.2 * moving_average(200, 12)),
  heavy_tails    = cbind(rt(120, 3), 0.8 * rt(120, 3)),
  rounded        = cbind(round(rnorm(90)), round(1.2 * rnorm(90))),        # many losses are equal
  short          = cbind(rnorm(20), 1.5 * rnorm(20)),
  alternating    = cbind(2 + 0.8 * (-1)^week(80) + 0.1 * rnorm(80), 1.9 + 0.1 * rnorm(80)),  # no variance at h = 4
  cyclical       = cbind(2 + 0.8 * cos(2 * pi * week(160) / 16.7) + 0.1 * rnorm(160), 1.9 + 0.1 * rnorm(160))  # at h = 13
)
errors <- lapply(errors, round, 4)

exact <- function(x) sprintf("%.17g", x)
write <- function(rows, file) write.csv(rows, file, row.names = FALSE, quote = FALSE)

write(do.call(rbind, lapply(names(errors), function(name) {
  e <- errors[[name]]
  data.frame(series = name, t = week(nrow(e)), error_a = exact(e[, 1]), error_b = exact(e[, 2]))
})), "dm_errors.csv")

test <- function(name, h, power, varestimator) {
  e <- errors[[name]]
  fell_back <- FALSE
  answer <- withCallingHandlers(
    dm.test(e[, 1], e[, 2], alternative = "two.sided", h = h, power = power, varestimator = varestimator),
    warning = function(w) {
      fell_back <<- TRUE
      invokeRestart("muffleWarning")
    })
  data.frame(series = name, n = nrow(e), h = h, power = power, varestimator = varestimator,
             fell_back = tolower(fell_back), statistic = exact(answer$statistic), p_value = exact(answer$p.value))
}
grid <- expand.grid(varestimator = c("acf", "bartlett"), power = c(1, 2), h = c(1, 4, 13), series = names(errors),
                    stringsAsFactors = FALSE)
write(do.call(rbind, Map(test, grid$series, grid$h, grid$power, grid$varestimator)), "dm_test.csv")
write(data.frame(package = c("R", "forecast"), version = c(paste(R.version$major, R.version$minor, sep = "."),
                                                           as.character(packageVersion("forecast")))), "dm_versions.csv")
