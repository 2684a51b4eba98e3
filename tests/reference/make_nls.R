# Nonlinear least squares of R's nls: the logistic and the exponential demand curve with a vertical shift at quarter ends.
#
#   Rscript make_nls.R      in this folder; writes nls_data.csv, nls.csv, nls_versions.csv
#
# (curvir, the R package of these shapes, searches by particle swarm and has no vertical shift: it is not what is compared.)
set.seed(20230901)

n <- 260
ratio <- 13 + 4 * sin(seq_len(n) / 30) + 0.3 * as.numeric(stats::filter(rnorm(n), 0.8, method = "recursive"))
quarter_end <- (seq_len(n) %% 13 == 0) + 0
noise <- function() 0.5 * as.numeric(stats::filter(rnorm(n), 0.5, method = "recursive"))
data <- data.frame(ratio = round(ratio, 3), quarter_end = quarter_end)
data$logistic <- round(-8 + 9 / (1 + exp(1.3 * (data$ratio - 12))) + 1.5 * quarter_end + noise(), 3)
data$exponential <- round(-6 + 300 * exp(-0.45 * data$ratio) + 1.5 * quarter_end + noise(), 3)

control <- nls.control(maxiter = 500, tol = 1e-7, minFactor = 1e-10)
fits <- list(
  logistic = nls(logistic ~ a + k / (1 + exp(r * (ratio - l))) + d * quarter_end, data,
                 start = list(a = -8, k = 9, r = 1.3, l = 12, d = 1), control = control),
  exponential = nls(exponential ~ a + k * exp(-r * (ratio - 12)) + d * quarter_end, data,
                    start = list(a = -6, k = 1.4, r = 0.45, d = 1), control = control)
)
exact <- function(x) sprintf("%.17g", x)
write <- function(rows, file) write.csv(rows, file, row.names = FALSE, quote = FALSE)
write(data, "nls_data.csv")
write(do.call(rbind, lapply(names(fits), function(name) {
  b <- c(coef(fits[[name]]), squares = deviance(fits[[name]]))
  data.frame(shape = name, quantity = names(b), value = exact(b))
})), "nls.csv")
write(data.frame(package = "R", version = paste(R.version$major, R.version$minor, sep = ".")), "nls_versions.csv")
