// The trainer's threads. Networks wait in a queue and are trained whole, each led by one thread; a thread that finds the
// queue empty helps with a large network until there is another one to take. Of tiny networks a thread trains many at
// once. No result depends on the number of threads or on the company.
#pragma once
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <set>
#include <thread>

#include "engine.hpp"

namespace schuss {

class Pool {
 public:
  struct Result {
    long key;
    Outcome outcome;
  };

  Pool(int threads, const Engine &engine) : engine_(engine), steps_(threads) {
    try {
      for (int i = 0; i < threads; i++) workers_.emplace_back([this, i] { work(steps_[i].count); });
    } catch (...) {  // the system refused a thread; those that run must end before they are destroyed
      close();
      throw;
    }
  }
  ~Pool() { close(); }
  Pool(const Pool &) = delete;
  Pool &operator=(const Pool &) = delete;

  void submit(std::vector<Job> jobs) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      pending_ += static_cast<long>(jobs.size());
      for (Job &job : jobs) {
        job.generation = generation_.load();
        queue_.push_back(std::move(job));
      }
      wanted_ = !queue_.empty();
    }
    ready_.notify_all();
  }

  // Everything finished since the last call; waits for something until the timeout.
  std::vector<Result> poll(double timeout) {
    std::unique_lock<std::mutex> lock(mutex_);
    result_ready_.wait_for(lock, std::chrono::duration<double>(timeout),
                           [this] { return !results_.empty() || pending_ == 0; });
    pending_ -= static_cast<long>(results_.size());
    return std::exchange(results_, {});
  }

  // Running networks stop at their next step and still report; waiting ones are dropped. Later ones run as usual.
  void cancel() {
    const std::lock_guard<std::mutex> lock(mutex_);
    generation_++;
    pending_ -= static_cast<long>(queue_.size());
    queue_.clear();
    wanted_ = closing_;
  }

  long pending() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return pending_;
  }
  long steps() const {
    long sum = 0;
    for (const Counter &counter : steps_) sum += counter.count.load(std::memory_order_relaxed);
    return sum;
  }
  // Parts of a step or an evaluation that were done by other threads than the network's own.
  long helped() const { return helped_.load(std::memory_order_relaxed); }

 private:
  struct alignas(128) Counter {  // a cache line each
    std::atomic<long> count{0};
  };

  void close() {
    cancel();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      closing_ = wanted_ = true;
    }
    ready_.notify_all();
    for (std::thread &worker : workers_) worker.join();
  }

  void work(std::atomic<long> &steps) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      Team *team = nullptr;
      ready_.wait(lock, [&] { return closing_ || !queue_.empty() || (team = team_in_want()); });
      if (closing_) return;
      if (queue_.empty()) {
        team->join();
        lock.unlock();
        team->help([this] { return wanted_.load(std::memory_order_relaxed); }, helped_);
        lock.lock();
        continue;
      }
      busy_++;
      if (queue_.front().plan->tiny()) {
        const Job first = queue_.front();
        lock.unlock();
        Tiny(*this, first, steps).train();
        lock.lock();
      } else {
        Job job = std::move(queue_.front());
        queue_.pop_front();
        wanted_ = !queue_.empty();
        lock.unlock();
        Outcome outcome = train(job, steps);
        job.plan.reset();
        lock.lock();
        report(job.key, std::move(outcome));
      }
      busy_--;
    }
  }
  void report(long key, Outcome outcome) {  // with the mutex held
    results_.push_back({key, std::move(outcome)});
    result_ready_.notify_all();
  }

  Team *team_in_want() {
    for (Team *team : teams_)
      if (team->wants_help()) return team;
    return nullptr;
  }

  // Lets others join the team while it lives.
  class Offer {
   public:
    Offer(Pool &pool, Team &team) : pool_(pool), team_(team) {
      if (team_.most() == 1) return;
      const std::lock_guard<std::mutex> lock(pool_.mutex_);
      pool_.teams_.push_back(&team_);
      pool_.ready_.notify_all();
    }
    ~Offer() {
      if (team_.most() == 1) return;
      const std::lock_guard<std::mutex> lock(pool_.mutex_);
      pool_.teams_.erase(std::find(pool_.teams_.begin(), pool_.teams_.end(), &team_));
    }
    Offer(const Offer &) = delete;
    Offer &operator=(const Offer &) = delete;

   private:
    Pool &pool_;
    Team &team_;
  };

  // An exception must not end the process: memory for one network may be lacking while others fit.
  Outcome train(const Job &job, std::atomic<long> &steps) {
    Team team(job.plan->useful_threads(job.data->train.rows, static_cast<int>(steps_.size())));
    const Offer offer(*this, team);
    Control control{generation_, job.generation, steps, team};
    try {
      return engine_.train(*job.plan, *job.data, control);
    } catch (const std::exception &error) {
      return failed(error);
    }
  }
  static Outcome failed(const std::exception &error) {
    Outcome outcome;
    outcome.status = "failed";
    outcome.message = error.what();
    return outcome;
  }

  // The tiny networks that one thread trains together.
  class Tiny final : public Group {
   public:
    Tiny(Pool &pool, const Job &first, std::atomic<long> &steps) : pool_(pool), first_(first), steps_(steps) {}

    void train() {
      try {
        pool_.engine_.train_together(*first_.plan, *first_.data, *this);
      } catch (const std::exception &error) {
        const std::lock_guard<std::mutex> lock(pool_.mutex_);
        for (long key : keys_) pool_.report(key, failed(error));
      }
    }

    // No more than this thread's share of what waits, as others may have nothing to do.
    std::vector<Job> join(int room) override {
      const std::lock_guard<std::mutex> lock(pool_.mutex_);
      std::deque<Job> &queue = pool_.queue_;
      const std::size_t hands = pool_.steps_.size() - pool_.busy_ + 1, share = (queue.size() + hands - 1) / hands;
      std::vector<Job> joined;
      for (auto job = queue.begin(); job != queue.end() && joined.size() < std::min<std::size_t>(room, share);) {
        if (job->data != first_.data || !job->plan->same_kind(*first_.plan)) {
          ++job;
          continue;
        }
        keys_.insert(job->key);
        joined.push_back(std::move(*job));
        job = queue.erase(job);
      }
      pool_.wanted_ = !queue.empty();
      return joined;
    }
    Control control(const Job &job) override { return {pool_.generation_, job.generation, steps_, alone_}; }
    void leave(const Job &job, Outcome outcome) override {
      const std::lock_guard<std::mutex> lock(pool_.mutex_);
      pool_.report(job.key, std::move(outcome));
      keys_.erase(keys_.find(job.key));
    }

   private:
    Pool &pool_;
    const Job &first_;
    std::atomic<long> &steps_;
    Team alone_{1};
    std::multiset<long> keys_;  // of those that have not left
  };

  const Engine &engine_;
  std::mutex mutex_;
  std::condition_variable ready_, result_ready_;  // ready: a job or a team waits, or the end has come
  std::deque<Job> queue_;
  std::vector<Team *> teams_;  // of the running networks that several threads may share
  std::atomic<bool> wanted_{false};  // there is something else to do than to help
  std::vector<Result> results_;
  long pending_ = 0;
  int busy_ = 0;  // threads that lead a training
  bool closing_ = false;
  std::atomic<long> generation_{0};
  std::vector<Counter> steps_;
  std::atomic<long> helped_{0};
  std::vector<std::thread> workers_;
};

}  // namespace schuss
