# Covariances of R's sandwich package: NeweyWest (Bartlett), kernHAC (Parzen, quadratic spectral), vcovHC.
#
#   Rscript make_hac.R      in this folder; writes hac_data.csv, hac.csv, hac_versions.csv
suppressPackageStartupMessages(library(sandwich))
set.seed(19870501)

persistent <- function(n, root, noise = rnorm(n)) as.numeric(stats::filter(noise, root, method = "recursive"))
made_of <- function(name, n, slopes, root) {
  x <- cbind(reserves = 3000 + 50 * persistent(n, 0.9), spread = 5 * persistent(n, 0.5), quarter_end = (seq_len(n) %% 13 == 0) + 0)
  x <- x[, seq_along(slopes), drop = FALSE]
  e <- persistent(n, root, rnorm(n) * (1 + (seq_len(n) %% 13 == 0)))
  data.frame(regression = name, t = seq_len(n), y = round(2 + x %*% slopes + e, 4), reserves = round(x[, 1], 2),
             spread = if (ncol(x) > 1) round(x[, 2], 3) else NA, quarter_end = if (ncol(x) > 2) x[, 3] else NA)
}
data <- rbind(made_of("weekly", 120, c(0.01, 0.3, 4), 0.6), made_of("short", 30, 0.01, -0.4))
fits <- list(weekly = lm(y ~ reserves + spread + quarter_end, data, subset = regression == "weekly"),
             short = lm(y ~ reserves, data, subset = regression == "short"))

entries <- function(V, ...) {
  at <- which(upper.tri(V, diag = TRUE), arr.ind = TRUE)
  data.frame(..., row = at[, 1] - 1, column = at[, 2] - 1, value = sprintf("%.17g", V[at]))
}
hac <- function(name, kernel, lags, small_sample, prewhite) {
  V <- if (kernel == "bartlett") NeweyWest(fits[[name]], lag = lags, prewhite = prewhite, adjust = small_sample)
       else kernHAC(fits[[name]], bw = lags + 1, prewhite = prewhite, adjust = small_sample, tol = 0,
                    kernel = c(parzen = "Parzen", quadratic_spectral = "Quadratic Spectral")[[kernel]])
  entries(V, regression = name, kernel = kernel, lags = lags, small_sample = tolower(small_sample), prewhite = tolower(prewhite))
}
hc <- function(name, small_sample)
  entries(vcovHC(fits[[name]], type = if (small_sample) "HC1" else "HC0"), regression = name, kernel = "none", lags = 0,
          small_sample = tolower(small_sample), prewhite = "false")

grid <- expand.grid(prewhite = c(FALSE, TRUE), small_sample = c(FALSE, TRUE), lags = c(0, 1, 4, 13),
                    kernel = c("bartlett", "parzen", "quadratic_spectral"), name = names(fits), stringsAsFactors = FALSE)
rows <- c(Map(hac, grid$name, grid$kernel, grid$lags, grid$small_sample, grid$prewhite),
          Map(hc, rep(names(fits), each = 2), rep(c(FALSE, TRUE), 2)))
write.csv(do.call(rbind, rows), "hac.csv", row.names = FALSE, quote = FALSE)
write.csv(data, "hac_data.csv", row.names = FALSE, quote = FALSE, na = "")
write.csv(data.frame(package = c("R", "sandwich"), version = c(paste(R.version$major, R.version$minor, sep = "."),
                                                               as.character(packageVersion("sandwich")))),
          "hac_versions.csv", row.names = FALSE, quote = FALSE)
